;; tries: declares a denial code with capitals
;; must: load manifest "the denial code `NO`"
(data (i32.const 1220) "NO")
