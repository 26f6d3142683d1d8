;; Grows its memory page by page until it is refused, and returns the number of pages: not a failure.
(module
  (memory 1)
  (func (export "run") (result i32)
    (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (memory.size)))
