;; tries: allows with a note that is no text
;; must: refuse sandbox/malformed "contract"
(data (i32.const 4096) "\00\00\00\00\01\00\00\00\00\40\00\00\01\00\00\00")
(data (i32.const 16384) "\ff")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
