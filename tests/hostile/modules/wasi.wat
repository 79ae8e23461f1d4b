;; tries: imports WASI
;; must: load imports "`wasi:cli/environment@0.2.3`, `wasi:filesystem/types@0.2.3`"
(component
  (import "wasi:cli/environment@0.2.3" (instance))
  (import "wasi:filesystem/types@0.2.3" (instance)))
