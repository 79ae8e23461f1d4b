;; tries: raises a watermark by an order that there is not
;; must: refuse sandbox/malformed "contract"
(import "sigwarden:policy/watermarks@0.1.0" "advance" (func $advance (param i32 i32 i32 i32 i32 i32 i32 i32)))
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (call $advance (i32.const 1100) (i32.const 7) (i32.const 4096) (i32.const 1) (i32.const 4096) (i32.const 0) (i32.const 2) (i32.const 512)) (i32.const 0))
