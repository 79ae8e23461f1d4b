;; tries: imports a component
;; must: load compile "component imports are not supported"
(component (import "helper" (component)))
