"""The web page of the controller: Canaries as values for a browser, the memory of running releases, and how both are served."""
