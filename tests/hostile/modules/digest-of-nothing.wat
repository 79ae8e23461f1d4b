;; tries: gives an empty digest
;; must: load snapshot "0 bytes; a digest has 1 to 64"
(data (i32.const 4096) "\08\10\00\00\00\00\00\00")
(func (export "config-digest") (result i32)
  (i32.const 4096))
