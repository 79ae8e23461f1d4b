;; tries: answers allow with a note that is neither there nor not
;; must: refuse sandbox/malformed "contract"
(data (i32.const 4096) "\00\00\00\00\07")
(func $evaluate (export "evaluate") (param $request i32) (result i32)
  (i32.const 4096))
