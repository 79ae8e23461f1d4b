;; tries: stores 4 KiB in small pieces, and one more
;; must: refuse sandbox/host-call "storage.set"
(import "sigwarden:policy/storage@0.1.0" "set" (func $set (param i32 i32 i32 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32) (local $i i32)
  (loop $l (i32.store8 (i32.const 1100) (local.get $i)) (local.set $i (i32.add (local.get $i) (i32.const 1))) (call $set (i32.const 1100) (i32.const 1) (i32.const 4096) (i32.const 1024)) (br_if $l (i32.lt_u (local.get $i) (i32.const 5)))) (i32.const 0))
