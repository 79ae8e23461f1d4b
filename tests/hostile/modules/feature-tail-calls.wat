;; tries: uses tail calls
;; must: load compile "not enabled"
(func $f (return_call $f))
