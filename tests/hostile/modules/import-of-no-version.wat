;; tries: imports an interface without its version
;; must: load version "`sigwarden:policy/limits`"
(component (import "sigwarden:policy/limits" (instance)))
