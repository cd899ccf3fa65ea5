"""See what the policy is about to do: meshes, predicted paths and the browser view."""
