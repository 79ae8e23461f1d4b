;; tries: denies with a message that is no text
;; must: refuse sandbox/malformed "contract"
(data (i32.const 4096) "\01\00\00\00\00\20\00\00\01\00\00\00")
(data (i32.const 8192) "\c4\04\00\00\02\00\00\00\00\40\00\00\02\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(data (i32.const 16384) "\c3\28")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
