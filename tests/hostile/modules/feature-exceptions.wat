;; tries: uses exceptions
;; must: load compile "not enabled"
(tag $t)
(func (throw $t))
