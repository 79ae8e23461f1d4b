;; tries: uses coroutines
;; must: load compile "stack switching is disabled"
(type $f (func))
(type $c (cont $f))
(func (param (ref $f)) (drop (cont.new $c (local.get 0))))
