;; tries: uses typed function references
;; must: load compile "not enabled"
(type $t (func))
(func (param (ref $t)) (call_ref $t (local.get 0)))
