;; tries: uses constant expressions that compute
;; must: load compile "non-constant operator"
(global i32 (i32.add (i32.const 1) (i32.const 1)))
