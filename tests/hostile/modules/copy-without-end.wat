;; tries: the same with memory.copy
;; must: refuse sandbox/fuel "used all of its fuel"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (loop $l (memory.copy (i32.const 4096) (i32.const 4097) (i32.const 200000)) (br $l)) unreachable)
