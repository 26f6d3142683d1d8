// Nothing: the manifest beside this folder only pins test data.
