;; tries: reads a value without a name
;; must: refuse sandbox/host-call "storage.get"
(import "sigwarden:policy/storage@0.1.0" "get" (func $get (param i32 i32 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $get (i32.const 4096) (i32.const 0) (i32.const 512)) (i32.const 0))
