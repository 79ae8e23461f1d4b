;; tries: refuses its configuration for 100,000 reasons that are one
;; must: load call configure sandbox/malformed "too much data"
(data (i32.const 4096) "\01\00\00\00\00\00\02\00\88\13\00\00")
(data (i32.const 4112) "\4c\04\00\00\07\00\00\00\00\40\00\00\64\00\00\00")
(func (export "configure") (param $at i32) (param $length i32) (result i32)
  (memory.fill (i32.const 131072) (i32.const 0) (i32.const 0))
  (i32.store (i32.const 131072) (i32.const 16384)) (i32.store (i32.const 131076) (i32.const 100000)) (i32.store (i32.const 131080) (i32.const 16384)) (i32.store (i32.const 131084) (i32.const 100000))
  (i32.store (i32.const 131088) (i32.const 16384)) (i32.store (i32.const 131092) (i32.const 100000))
  (i32.const 4096))
