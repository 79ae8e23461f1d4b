;; tries: writes across the end of its memory
;; must: refuse sandbox/trap "out of bounds memory"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i64.store (i32.const 262140) (i64.const -1)) (i32.const 0))
