"""What a cluster's API server bears when there are many Canaries: computed from what one release costs."""
