;; tries: imports code
;; must: load imports "`helper`"
(component (import "helper" (core module)))
