"""Every cause for which a pod may fail: how it is recognised, what happened, what that means, what to do. `table.TABLE` is the whole."""
