;; tries: imports a function of no interface
;; must: load imports "`read-key`"
(component (import "read-key" (func (param "name" string) (result (list u8)))))
