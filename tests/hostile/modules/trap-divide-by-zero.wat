;; tries: divides by zero
;; must: refuse sandbox/trap "divide by zero"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.div_u (i32.const 1) (i32.const 0)))
