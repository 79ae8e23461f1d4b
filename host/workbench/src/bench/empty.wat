;; The least that a policy can be: it allows everything. What it costs is what the sandbox costs. `empty.wasm` is this as a component;
;; `tests/empty.rs` holds the two together.
(module
  (memory (export "memory") 16)
  ;; Address 0 is zeros: `allow(none)`, and `ok` of `configure`.
  (data (i32.const 1024) "empty")
  (data (i32.const 1032) "1.0.0")
  (data (i32.const 1040) "Allows everything.")
  (data (i32.const 1064) "{}")
  ;; `["*"]`
  (data (i32.const 1072) "\38\04\00\00\01\00\00\00")
  (data (i32.const 1080) "*")
  ;; The digest: five bytes at 1024.
  (data (i32.const 1088) "\00\04\00\00\05\00\00\00")
  ;; name, version, purpose, config-schema, formats, no facts, no denial codes
  (data (i32.const 2048) "\00\04\00\00\05\00\00\00\08\04\00\00\05\00\00\00\10\04\00\00\12\00\00\00\28\04\00\00\02\00\00\00\30\04\00\00\01\00\00\00")
  (global $heap (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "config-digest") (result i32) (i32.const 1088))
  (func (export "describe") (result i32) (i32.const 2048))
  (func (export "configure") (param i32 i32) (result i32) (i32.const 0))
  (func (export "evaluate") (param i32) (result i32) (i32.const 0)))
