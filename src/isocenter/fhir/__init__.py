"""FHIR R4 and R5: what the archive holds of images, as resources that other systems search.

Start at ``routing``: the services, drawn from the ``RESOURCES`` of a module per resource
(``imaging_study``, ``patient``, ``endpoint``, ``diagnostic_report``). ``asking`` reads requests,
``demands`` turns them into a query of the archive, ``bundles`` writes the answers.
"""
