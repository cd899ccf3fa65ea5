"""The trainable networks of the head.  Torch; the runtime never imports this room."""
