;; tries: stores what is over a value's limit
;; must: refuse sandbox/host-call "storage.set"
(import "sigwarden:policy/storage@0.1.0" "set" (func $set (param i32 i32 i32 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $set (i32.const 1100) (i32.const 7) (i32.const 4096) (i32.const 1025)) (i32.const 0))
