;; tries: fills across the end of its memory
;; must: refuse sandbox/trap "out of bounds memory"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (memory.fill (i32.const 262143) (i32.const 1) (i32.const 2)) (i32.const 0))
