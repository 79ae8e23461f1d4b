;; tries: logs what lies behind its memory
;; must: refuse sandbox/malformed "contract"
(import "sigwarden:policy/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $emit (i32.const 1) (i32.const -1) (i32.const 2)) (i32.const 0))
