;; tries: counts its evaluations in memory and denies the second
;; must: allow
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (if (i32.load (i32.const 200000)) (then (return (i32.const 1300))))
  (i32.store (i32.const 200000) (i32.const 1)) (i32.const 0))
