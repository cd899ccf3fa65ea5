"""Foundation models as frozen backbones, on torch and transformers; imported only when one of them is asked for."""
