;; tries: has a schema that is no JSON
;; must: load manifest "config-schema that is no JSON"
(data (i32.const 1140) "}{")
