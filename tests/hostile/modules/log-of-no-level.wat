;; tries: logs at a level that there is not
;; must: refuse sandbox/malformed "contract"
(import "sigwarden:policy/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $emit (i32.const 3) (i32.const 1100) (i32.const 7)) (i32.const 0))
