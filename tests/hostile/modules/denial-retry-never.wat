;; tries: denies until the last millisecond of 64 bits
;; must: deny no "hostile" 18446744073709551615
(data (i32.const 4096) "\01\00\00\00\00\20\00\00\01\00\00\00")
(data (i32.const 8192) "\c4\04\00\00\02\00\00\00\4c\04\00\00\07\00\00\00\01\00\00\00\00\00\00\00\ff\ff\ff\ff\ff\ff\ff\ff")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
