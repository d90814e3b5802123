"""Where the controller may connect to on behalf of those who write Canaries: the rules, and connections that are held to them."""
