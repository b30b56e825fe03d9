"""What a candidate has to show before it may serve: one `Proof`, paired against the champion."""
