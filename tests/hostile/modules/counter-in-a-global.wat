;; tries: counts its evaluations and denies the second
;; must: allow
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (if (global.get $count) (then (return (i32.const 1300))))
  (global.set $count (i32.const 1)) (i32.const 0))
