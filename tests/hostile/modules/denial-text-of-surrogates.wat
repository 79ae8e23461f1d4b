;; tries: denies with half a surrogate pair
;; must: refuse sandbox/malformed "contract"
(data (i32.const 4096) "\01\00\00\00\00\20\00\00\01\00\00\00")
(data (i32.const 8192) "\c4\04\00\00\02\00\00\00\00\40\00\00\03\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(data (i32.const 16384) "\ed\a0\80")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
