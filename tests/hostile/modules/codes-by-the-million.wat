;; tries: declares a million denial codes
;; must: load call describe sandbox/malformed "contract"
(func (export "describe") (result i32)
  (i32.store (i32.const 1072) (i32.const 4096)) (i32.store (i32.const 1076) (i32.const 1000000)) (i32.const 1024))
