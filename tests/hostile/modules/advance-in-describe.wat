;; tries: raises a watermark while it is described
;; must: load call describe sandbox/host-call "watermarks.advance outside of `evaluate`, where only log.emit is allowed"
(import "sigwarden:policy/watermarks@0.1.0" "advance" (func $advance (param i32 i32 i32 i32 i32 i32 i32 i32)))
(func (export "describe") (result i32)
  (call $advance (i32.const 1100) (i32.const 7) (i32.const 4096) (i32.const 1) (i32.const 4096) (i32.const 0) (i32.const 0) (i32.const 512)) (i32.const 1024))
