;; tries: writes while it is asked for its digest
;; must: load call config-digest sandbox/host-call "storage.set outside of `evaluate`, where only log.emit is allowed"
(import "sigwarden:policy/storage@0.1.0" "set" (func $set (param i32 i32 i32 i32)))
(func (export "config-digest") (result i32)
  (call $set (i32.const 1100) (i32.const 7) (i32.const 1100) (i32.const 7)) (i32.const 1088))
