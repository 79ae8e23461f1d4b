;; tries: brings data that does not fit its memory
;; must: load call describe sandbox/trap "out of bounds memory"
(data (i32.const 262143) "xx")
