;; tries: exports `evaluate` as an interface, not a function
;; must: load exports "`evaluate`"
(component (instance $i) (export "evaluate" (instance $i)))
