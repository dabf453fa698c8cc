"""Custom resource `Custom::PublishFiles`: puts the files of a zip, and a few texts, into a bucket.

The plain Lambda-backed protocol: CloudFormation invokes `handler` with `ServiceToken` pointing at
the function, and the answer is PUT to the event's `ResponseURL`, whatever happens. Give the
function 512 MB and a timeout of 15 minutes; memory does not grow with the archive, and the answer
FAILED is sent before the time runs out.

Properties (all values are strings, as CloudFormation makes them):
    DestinationBucket   required
    DestinationPrefix   "" or a prefix that ends with "/"; default ""
    SourceBucket        with SourceKey: a zip (a CDK asset); both or neither
    SourceKey
    LastKey             optional member of the zip that is written after all others, such as
                        "manifest.json": its presence means that all files are there
    CacheControl        optional header of the zip's files; default "no-cache"
    InlineFiles         optional map of names below the prefix to texts (such as config.json);
                        always "no-cache"; written after the zip, replacing a member of that name
    PointerKey          with PointerBody: one full key, outside the prefix, that is written after
    PointerBody         everything else, verbatim, "no-cache" (models/<name>/live.json); the body
                        is a JSON text, since CloudFormation turns numbers in objects to strings
    PurgeVersions       "true": deletion removes all versions too, so that a versioned bucket can
                        be deleted after it; default "false": noncurrent versions stay

Behaviour:
    Create   writes the files in the order above.
    Update   the same; with the same destination, files below the prefix that are no longer in
             the source are removed afterwards. Another bucket or prefix means another
             PhysicalResourceId, so CloudFormation deletes the old files once the update held.
    Delete   removes everything below the prefix. The pointer goes only while it still is this
             resource's PointerBody. A bucket that is gone, or a resource that never came to be,
             is no error. Without source and inline files, the resource does nothing but this:
             with prefix "" and PurgeVersions it empties a bucket before its deletion.

Attributes (Fn::GetAtt): Bucket, Prefix, FileCount, Bytes.

The function needs s3:GetObject on the source; on the destination s3:PutObject, s3:GetObject,
s3:DeleteObject, s3:AbortMultipartUpload, s3:ListBucket, and with PurgeVersions
s3:DeleteObjectVersion and s3:ListBucketVersions; and the use of the keys that encrypt them.
"""
