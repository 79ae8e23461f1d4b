;; tries: denies with a message whose end wraps around 2^32
;; must: refuse sandbox/malformed "contract"
(data (i32.const 4096) "\01\00\00\00\00\20\00\00\01\00\00\00")
(data (i32.const 8192) "\c4\04\00\00\02\00\00\00\f0\ff\ff\ff\20\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
