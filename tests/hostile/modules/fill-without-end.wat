;; tries: pays one instruction for 256 KiB of work, again and again
;; must: refuse sandbox/fuel "used all of its fuel"
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (loop $l (memory.fill (i32.const 4096) (i32.const 1) (i32.const 200000)) (br $l)) unreachable)
