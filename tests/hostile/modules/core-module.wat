;; tries: is a core module and no component
;; must: load not-a-component "a core WebAssembly module, not yet made a component"
;; raw: core
(module (memory (export "memory") 1))
